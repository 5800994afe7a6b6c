"""No pod reaches the Secret of an identity except through its own binding.

Whatever a template, a hook or an author put into a pod: every way in which a pod can name a Secret is looked at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sa_binding.binding.errors import Refused
from airflow_sa_binding.binding.names import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubernetes.client import models as k8s

    from airflow_sa_binding.binding.identity import Settings
    from airflow_sa_binding.binding.resolve import Binding

# A managed Secret stays fenced when its account is no longer listed and the Secret is still there.
_MANAGED_NAME = re.compile(r"gcp-sa-([a-z0-9][a-z0-9-]*-)?[0-9a-f]{8}")

# The volume sources, besides `secret` and `projected`, that take the name of a Secret: source, its attribute, and
# both as Kubernetes spells them.
_SECRET_SOURCES = (
    ("azure_file", "secret_name", "azureFile.secretName"),
    ("cephfs", "secret_ref", "cephfs.secretRef.name"),
    ("cinder", "secret_ref", "cinder.secretRef.name"),
    ("csi", "node_publish_secret_ref", "csi.nodePublishSecretRef.name"),
    ("flex_volume", "secret_ref", "flexVolume.secretRef.name"),
    ("iscsi", "secret_ref", "iscsi.secretRef.name"),
    ("rbd", "secret_ref", "rbd.secretRef.name"),
    ("scale_io", "secret_ref", "scaleIO.secretRef.name"),
    ("storageos", "secret_ref", "storageos.secretRef.name"),
)
# Drivers that read a Secret by themselves are told its name as a parameter, under a key of their own choice.
_PARAMETERS = (
    ("csi", "volume_attributes", "csi.volumeAttributes"),
    ("flex_volume", "options", "flexVolume.options"),
)


def refuse_trespass(pod: k8s.V1Pod, bindings: Sequence[Binding], settings: Settings) -> None:
    """Check that a bound pod names no identity's Secret outside the volumes of its bindings.

    Raises:
        Refused: It does.
    """
    fenced = settings.secret_names
    own = {(secret_name(one.identity.name), one.identity.delivery.secret_name) for one in bindings}
    for path, places, name, volume_name in _secret_names(pod):
        if not (name in fenced or (isinstance(name, str) and _MANAGED_NAME.fullmatch(name))):
            continue
        # `bind_pod` has replaced every volume of this name, so name and Secret tell that it is the binding's.
        if (volume_name, name) not in own:
            raise Refused(
                path.format(*places),
                "names a Secret that holds an identity",
                got=name,
                remedy='ask for the identity with executor_config={"gcp-service-account": ...} instead',
            )


def _secret_names(pod: k8s.V1Pod) -> Iterator[tuple[str, tuple[object, ...], object, str | None]]:
    """Yield all that a pod names as Secrets.

    Each comes as the field's path with what to format into it, the Secret's name, and the volume's name if it is a
    plain Secret volume. Hardly ever is a path needed, and building them all would take most of the time.
    """
    spec = pod.spec
    if spec is None:
        return
    for index, volume in enumerate(spec.volumes or ()):
        if volume.secret is not None:
            yield "spec.volumes[{}].secret.secretName", (index,), volume.secret.secret_name, volume.name
        if volume.projected is not None:
            for at, source in enumerate(volume.projected.sources or ()):
                if source.secret is not None:
                    yield (
                        "spec.volumes[{}].projected.sources[{}].secret.name",
                        (index, at),
                        source.secret.name,
                        None,
                    )
        for attribute, field, path in _SECRET_SOURCES:
            source = getattr(volume, attribute)
            if source is not None:
                reference = getattr(source, field)
                yield "spec.volumes[{}].{}", (index, path), getattr(reference, "name", reference), None
        for attribute, field, path in _PARAMETERS:
            source = getattr(volume, attribute)
            if source is not None:
                for value in (getattr(source, field) or {}).values():
                    yield "spec.volumes[{}].{}", (index, path), value, None
    for index, reference in enumerate(spec.image_pull_secrets or ()):
        yield "spec.imagePullSecrets[{}].name", (index,), reference.name, None
    for group, containers in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    ):
        for at, container in enumerate(containers or ()):
            for index, variable in enumerate(container.env or ()):
                source = variable.value_from
                if source is not None and source.secret_key_ref is not None:
                    path = "spec.{}[{}].env[{}].valueFrom.secretKeyRef.name"
                    yield path, (group, at, index), source.secret_key_ref.name, None
            for index, bulk in enumerate(container.env_from or ()):
                if bulk.secret_ref is not None:
                    path = "spec.{}[{}].envFrom[{}].secretRef.name"
                    yield path, (group, at, index), bulk.secret_ref.name, None
