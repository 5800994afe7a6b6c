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
    for path, name, volume_name in _secret_names(pod):
        if not (name in fenced or (isinstance(name, str) and _MANAGED_NAME.fullmatch(name))):
            continue
        # `bind_pod` has replaced every volume of this name, so name and Secret tell that it is the binding's.
        if (volume_name, name) not in own:
            raise Refused(
                path,
                "names a Secret that holds an identity",
                got=name,
                remedy='ask for the identity with executor_config={"gcp-service-account": ...} instead',
            )


def _secret_names(pod: k8s.V1Pod) -> Iterator[tuple[str, object, str | None]]:
    """Yield (field, Secret's name, the volume's name if it is a plain Secret volume) for all that a pod names."""
    spec = pod.spec
    if spec is None:
        return
    for index, volume in enumerate(spec.volumes or ()):
        where = f"spec.volumes[{index}]"
        if volume.secret is not None:
            yield f"{where}.secret.secretName", volume.secret.secret_name, volume.name
        if volume.projected is not None:
            for at, source in enumerate(volume.projected.sources or ()):
                if source.secret is not None:
                    yield f"{where}.projected.sources[{at}].secret.name", source.secret.name, None
        for attribute, field, path in _SECRET_SOURCES:
            source = getattr(volume, attribute)
            if source is not None:
                reference = getattr(source, field)
                yield f"{where}.{path}", getattr(reference, "name", reference), None
        for attribute, field, path in _PARAMETERS:
            source = getattr(volume, attribute)
            for value in (getattr(source, field, None) or {}).values():
                yield f"{where}.{path}", value, None
    for index, reference in enumerate(spec.image_pull_secrets or ()):
        yield f"spec.imagePullSecrets[{index}].name", reference.name, None
    for group, containers in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    ):
        for index, container in enumerate(containers or ()):
            yield from _container_secret_names(container, f"spec.{group}[{index}]")


def _container_secret_names(container: k8s.V1Container, where: str) -> Iterator[tuple[str, object, None]]:
    for index, variable in enumerate(container.env or ()):
        source = variable.value_from
        if source is not None and source.secret_key_ref is not None:
            yield f"{where}.env[{index}].valueFrom.secretKeyRef.name", source.secret_key_ref.name, None
    for index, bulk in enumerate(container.env_from or ()):
        if bulk.secret_ref is not None:
            yield f"{where}.envFrom[{index}].secretRef.name", bulk.secret_ref.name, None
