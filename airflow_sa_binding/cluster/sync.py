"""One round of synchronisation: makes the managed Secrets of every namespace what the configuration says.

A round looks (one list call per namespace), plans, and writes what differs; with nothing to do, looking is all.
Every write is conditional on what was seen, so any number of schedulers may do rounds at once, and one that is
killed half-way leaves what the next round completes. Schedulers whose key files differ undo each other's writes,
once per interval, until the files agree. Installations that share a namespace must not prune: each would take
the other's Secrets for its own that are no longer listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_sa_binding.binding import names
from airflow_sa_binding.cluster.answers import ApiRefusal, ApiUnavailable
from airflow_sa_binding.cluster.api import SecretApi
from airflow_sa_binding.cluster.explain import (
    describe_namespace,
    explain_list,
    explain_write,
    is_about_namespace,
)
from airflow_sa_binding.cluster.manifests import ObservedSecret, build_secret
from airflow_sa_binding.cluster.plan import (
    Action,
    Apply,
    Delete,
    Goal,
    Leave,
    Wanted,
    build_goal,
    describe_secret,
    plan,
    plan_one,
)
from airflow_sa_binding.cluster.report import Outcome, Report
from airflow_sa_binding.cluster.state import Failed, Ready, SecretStates, State, Unknown
from airflow_sa_binding.config.key_files import Key
from airflow_sa_binding.config.load import Configuration

_API_SERVER = "API server"
_WRITING = Unknown("its Secret is being written; it will be there within seconds")


def sync_secrets(
    api: SecretApi,
    configuration: Configuration,
    keys: Mapping[str, Key],
    refusals: Mapping[str, str],
    *,
    prune: bool | None = None,
    dry_run: bool = False,
    states: SecretStates | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Report:
    """Do one round.

    Arguments:
        api: The cluster.
        configuration: Which accounts, in which namespaces.
        keys: The usable keys, by account (`config.load.load_keys`).
        refusals: Why each of the other keys is not, by account.
        prune: Overrides the configuration's `prune`.
        dry_run: Let the API server check every write, and store none.
        states: Told the state of each Secret as soon as it is known.
        is_stopped: Asked before each call; once it says yes, the round ends where it is.
    """
    prune = configuration.prune if prune is None else prune
    goal = build_goal(configuration, keys, refusals, prune=prune)
    states = SecretStates() if states is None else states
    namespaces = configuration.settings.namespaces
    states.retain({(namespace, one.secret_name) for namespace in namespaces for one in goal.wanted})
    sync_round = _Round(api=api, goal=goal, states=states, dry_run=dry_run, is_stopped=is_stopped)
    sync_round.problems.update({f"key of {account}": refusal for account, refusal in refusals.items()})
    if prune and goal.doubt is not None:
        sync_round.problems["pruning"] = str(goal.doubt)
    return sync_round.run(namespaces)


class _Round:
    """What is carried from one call of a round to the next."""

    def __init__(
        self,
        *,
        api: SecretApi,
        goal: Goal,
        states: SecretStates,
        dry_run: bool,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.api = api
        self.goal = goal
        self.states = states
        self.dry_run = dry_run
        self.is_stopped = is_stopped
        self.outcomes: list[Outcome] = []
        self.problems: dict[str, str] = {}

    def run(self, namespaces: tuple[str, ...]) -> Report:
        """Visit the namespaces in turn, until the API server cannot be asked any more."""
        is_complete = False
        try:
            # Ends at the first namespace that was stopped in.
            is_complete = all(self._visit(namespace) for namespace in namespaces)
        except ApiUnavailable as unavailable:
            self.problems[_API_SERVER] = str(unavailable)
            self._give_up(namespaces, str(unavailable))
        return Report(outcomes=tuple(self.outcomes), problems=self.problems, is_complete=is_complete)

    def _visit(self, namespace: str) -> bool:
        """Do everything in one namespace; return False if the round was stopped."""
        if self.is_stopped():
            return False
        try:
            seen = self.api.list_secrets(namespace)
        except ApiRefusal as refusal:
            self._report_unseen(namespace, refusal)
            return True
        writes: list[Apply | Delete] = []
        for step in plan(self.goal, seen.secrets, namespace=namespace):
            if isinstance(step, Leave):
                self._report_left(namespace, step)
                continue
            writes.append(step)
            if isinstance(step, Apply) and not step.is_in_place:
                self.states.record(namespace, names.secret_name(step.account), _WRITING)
        # What forbids an action for one Secret of a namespace would forbid it a thousand times.
        barred: dict[Action, ApiRefusal] = {}
        for step in writes:
            if self.is_stopped():
                return False
            if isinstance(step, Apply):
                self._apply(namespace, step, seen.resource_version, barred)
            else:
                self._delete(namespace, step, barred)
        return True

    def _apply(
        self,
        namespace: str,
        step: Apply,
        list_version: str,
        barred: dict[Action, ApiRefusal],
        *,
        again: bool = True,
    ) -> None:
        """Write a Secret; if it is no longer what was seen, look and decide once more."""
        # No Secret has the version of a list in which it is missing: the API server creates this one or, if there
        # is one by now, answers 409 (see kubernetes/kubernetes#106745).
        version = step.observed.resource_version if step.observed else list_version
        refusal = barred.get(step.action) or self._try_apply(namespace, step.key, version)
        if refusal is None:
            self._report(namespace, step.account, step.action, step.message, Ready())
        elif refusal.is_conflict and again:
            self._look_again(namespace, step, barred)
        else:
            message = self._note_refusal(namespace, step, refusal, barred)
            failed = Unknown(message) if refusal.is_passing else Failed(message)
            self._report(
                namespace, step.account, Action.FAILED, message, Ready() if step.is_in_place else failed
            )

    def _try_apply(self, namespace: str, key: Key, version: str) -> ApiRefusal | None:
        manifest = build_secret(key, namespace=namespace, resource_version=version)
        try:
            self.api.apply(manifest, dry_run=self.dry_run)
        except ApiRefusal as refusal:
            return refusal
        return None

    def _look_again(self, namespace: str, step: Apply, barred: dict[Action, ApiRefusal]) -> None:
        wanted = Wanted(account=step.account, key=step.key)
        try:
            seen = self.api.list_secrets(namespace, name=wanted.secret_name)
        except ApiRefusal as refusal:
            message = explain_list(namespace, refusal, prune=self.goal.prune)
            self.problems[describe_namespace(namespace)] = message
            state = Ready() if step.is_in_place else Unknown(message)
            self._report(namespace, step.account, Action.FAILED, message, state)
            return
        anew = plan_one(wanted, seen.secrets.get(wanted.secret_name), namespace=namespace)
        if isinstance(anew, Apply):
            self._apply(namespace, anew, seen.resource_version, barred, again=False)
        else:
            self._report_left(namespace, anew)

    def _delete(self, namespace: str, step: Delete, barred: dict[Action, ApiRefusal]) -> None:
        refusal = barred.get(step.action) or self._try_delete(namespace, step.observed)
        # If it is not found, somebody else has deleted it. If it has just changed, the next round looks at it.
        if refusal is None or refusal.is_not_found:
            self._report(namespace, step.account, step.action)
        else:
            message = self._note_refusal(namespace, step, refusal, barred)
            self._report(namespace, step.account, Action.FAILED, message)

    def _try_delete(self, namespace: str, secret: ObservedSecret) -> ApiRefusal | None:
        try:
            self.api.delete(namespace, secret, dry_run=self.dry_run)
        except ApiRefusal as refusal:
            return refusal
        return None

    def _note_refusal(
        self, namespace: str, step: Apply | Delete, refusal: ApiRefusal, barred: dict[Action, ApiRefusal]
    ) -> str:
        message = explain_write(namespace, step.account, refusal, prune=self.goal.prune)
        subject = describe_secret(namespace, step.account)
        if is_about_namespace(refusal):
            barred[step.action] = refusal
            subject = f"{describe_namespace(namespace)}, {step.action.value}"
        self.problems[subject] = message
        return message

    def _report(
        self, namespace: str, account: str, action: Action, message: str = "", state: State | None = None
    ) -> None:
        name = names.secret_name(account)
        self.outcomes.append(
            Outcome(namespace=namespace, account=account, secret_name=name, action=action, message=message)
        )
        if state is not None:
            self.states.record(namespace, name, state)

    def _report_left(self, namespace: str, step: Leave) -> None:
        state: State | None = None
        if step.action in (Action.UNCHANGED, Action.KEPT):
            state = Ready()
        elif step.action in (Action.FOREIGN, Action.FAILED):
            state = Failed(step.message)
            if not step.is_known:
                self.problems[describe_secret(namespace, step.account)] = step.message
        self._report(namespace, step.account, step.action, step.message, state)

    def _report_unseen(self, namespace: str, refusal: ApiRefusal) -> None:
        """Report that a namespace may not be looked at; the Secrets that were there before are taken to be there."""
        message = explain_list(namespace, refusal, prune=self.goal.prune)
        self.problems[describe_namespace(namespace)] = message
        failed = Unknown(message) if refusal.is_passing else Failed(message)
        for wanted in self.goal.wanted:
            before = self.states.state_of(namespace, wanted.secret_name)
            state = before if isinstance(before, Ready) else failed
            self._report(namespace, wanted.account, Action.FAILED, message, state)

    def _give_up(self, namespaces: tuple[str, ...], message: str) -> None:
        """Report what the API server could not be asked about; only what never was known becomes Unknown."""
        done = {(outcome.namespace, outcome.account) for outcome in self.outcomes}
        for namespace in namespaces:
            for wanted in self.goal.wanted:
                if (namespace, wanted.account) in done:
                    continue
                before = self.states.state_of(namespace, wanted.secret_name)
                state = Unknown(message) if isinstance(before, Unknown) else before
                self._report(namespace, wanted.account, Action.UNKNOWN, message, state)
