"""What Airflow's metadata database says: read as a person would who asks `airflow tasks states-for-dag-run`.

Plain SQL, so that the tests need no Airflow in their own process and one form serves Airflow 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task instance."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int
    state: str | None


class Metadata:
    """A metadata database."""

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)

    def parsed_dags(self) -> set[str]:
        """Return the ids of all DAGs that can be run."""
        return {row["dag_id"] for row in self._read("select dag_id from serialized_dag")}

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be imported."""
        return [f"{row['filename']}: {row['stacktrace']}" for row in self._read("select * from import_error")]

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return a run's state, or an empty text if there is no such run."""
        query = "select state from dag_run where dag_id = :dag_id and run_id = :run_id"
        return next((row["state"] for row in self._read(query, dag_id=dag_id, run_id=run_id)), "")

    def tasks(self, dag_id: str = "%", *, run_id: str = "%") -> list[TaskState]:
        """Return the task instances of a DAG's run, or of all."""
        query = (
            "select dag_id, task_id, run_id, map_index, try_number, state from task_instance "
            "where dag_id like :dag_id and run_id like :run_id order by dag_id, run_id, task_id, map_index"
        )
        return [TaskState(**row) for row in self._read(query, dag_id=dag_id, run_id=run_id)]

    def states(self, dag_id: str, *, run_id: str = "%") -> dict[str, str | None]:
        """Return the state of each task; those of a mapped task are `task_id[map_index]`."""
        return {_name(task): task.state for task in self.tasks(dag_id, run_id=run_id)}

    def audit(self, dag_id: str, task_id: str, *, event: str = "state mismatch") -> list[str]:
        """Return what the audit log says of a task, for one kind of event."""
        query = "select extra from log where dag_id = :dag_id and task_id = :task_id and event = :event order by id"
        return [str(row["extra"]) for row in self._read(query, dag_id=dag_id, task_id=task_id, event=event)]

    def _read(self, query: str, **values: str) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text(query), values).mappings().all()
        return [{str(name): value for name, value in row.items()} for row in rows]


def _name(task: TaskState) -> str:
    return task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
