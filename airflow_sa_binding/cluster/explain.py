"""Turns the API server's refusals into one line each: where, what, and what to do about it. Pure."""

from __future__ import annotations

from airflow_sa_binding.binding.errors import Problem
from airflow_sa_binding.cluster.answers import ApiRefusal, MissingRight
from airflow_sa_binding.cluster.plan import describe_secret

_AGAIN = "it is tried again by itself"


def describe_namespace(namespace: str) -> str:
    """Name a namespace for a message."""
    return f"namespace {namespace}"


def is_about_namespace(refusal: ApiRefusal) -> bool:
    """Tell whether what was refused for one Secret is refused for all of the namespace."""
    return refusal.missing_right is not None or refusal.is_namespace_terminating or refusal.is_not_found


def explain_list(namespace: str, refusal: ApiRefusal, *, prune: bool) -> str:
    """Say why a namespace's Secrets could not be looked at."""
    where = describe_namespace(namespace)
    if refusal.missing_right is not None:
        return str(_explain_right(where, refusal.missing_right, prune=prune))
    return str(Problem(where, f"its Secrets cannot be listed ({refusal})", _AGAIN))


def explain_write(namespace: str, account: str, refusal: ApiRefusal, *, prune: bool) -> str:
    """Say why a Secret could not be created, updated or deleted."""
    where = describe_secret(namespace, account)
    if is_about_namespace(refusal):
        problem = _explain_namespace(describe_namespace(namespace), refusal, prune=prune)
    elif refusal.is_conflict:
        problem = Problem(where, "was changed by somebody else at the same time", _AGAIN)
    elif refusal.is_passing:
        problem = Problem(where, f"the API server failed ({refusal})", _AGAIN)
    elif refusal.is_too_large:
        problem = Problem(where, f"is too large ({refusal})", "make the key file shorter")
    else:
        problem = Problem(where, f"the API server refuses it ({refusal})", f"remove the cause; {_AGAIN}")
    return str(problem)


def _explain_namespace(where: str, refusal: ApiRefusal, *, prune: bool) -> Problem:
    if refusal.missing_right is not None:
        return _explain_right(where, refusal.missing_right, prune=prune)
    problem, first = (
        ("does not exist", "create it") if refusal.is_not_found else ("is being deleted", "create it anew")
    )
    return Problem(where, problem, f"{first}, or take it out of the namespaces where tasks may run")


def _explain_right(where: str, right: MissingRight, *, prune: bool) -> Problem:
    verbs = "list, create, patch, delete" if prune else "list, create, patch"
    return Problem(
        where,
        f"user {right.user!r} may not {right.verb} Secrets",
        f'give it a Role there with the rule {{apiGroups: [""], resources: [secrets], verbs: [{verbs}]}}',
    )
