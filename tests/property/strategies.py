"""Strategies for pods that the API server accepts, for what tasks ask, and for garbage.

A pod is put together from fragments that are valid by themselves, so that a pod that the API server refuses can
only be refused for what the binding has done to it. The fragments collide with everything that the binding uses:
its variables, its paths in several spellings, its volume names.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from kubernetes import client
from kubernetes.client import models as k8s

from airflow_sa_binding.binding.identity import Identity, KeySecret, Settings
from airflow_sa_binding.binding.request import IdentityRequest, Request

IS_FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
"""Whether to take the time that CI takes."""


def trying(examples: int) -> settings:
    """Say how often a property is tried in CI; elsewhere it is 200 times."""
    return settings(
        max_examples=examples if IS_FULL else 200,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


thoroughly = trying(10_000)
"""For what the whole design rests on: idempotent, input untouched, unrelated parts equal."""

widely = trying(1_000)

ETL = "etl@acme.iam.gserviceaccount.com"
ADS = "ads@acme.iam.gserviceaccount.com"
VAULT = "vault@acme.iam.gserviceaccount.com"
VOLUMES = {ETL: "gcp-sa-etl-fd6d6038", ADS: "gcp-sa-ads-a2a90470", VAULT: "gcp-sa-vault-719c6241"}
PATHS = {name: f"/var/run/secrets/gcp/{volume.removeprefix('gcp-sa-')}" for name, volume in VOLUMES.items()}
SECRETS = {ETL: VOLUMES[ETL], ADS: VOLUMES[ADS], VAULT: "vault-from-elsewhere"}
VARIABLES = ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE")

SETTINGS = Settings(
    identities={
        ETL: Identity(name=ETL, delivery=KeySecret(secret_name=SECRETS[ETL], managed=True)),
        ADS: Identity(name=ADS, delivery=KeySecret(secret_name=SECRETS[ADS], managed=True), project="acme"),
        VAULT: Identity(
            name=VAULT, delivery=KeySecret(secret_name=SECRETS[VAULT], managed=False, default_mode=0o400)
        ),
    }
)

_MAIN = ("base", "sidecar", "a", "x" * 63)
_INIT = ("init", "native-sidecar", "0")
_SECRET_NAMES = ("airflow-fernet-key", *SECRETS.values(), "gcp-sa-gone-0123abcd")
_VOLUME_NAMES = ("data", "logs", "kube-api-access", *VOLUMES.values(), "gcp-sa-gone-0123abcd")
_MOUNT_PATHS = (
    *(
        "/data",
        "/opt/airflow/logs",
        "relative/path",
        "/var/run",
        "/run/",
        "/var/run/secrets/gcp",
        "/var/run/secrets/gcp-x",
    ),
    *(path + tail for path in PATHS.values() for tail in ("", "/", "/key.json", "/below/it", "x")),
    *(path.removeprefix("/var") for path in PATHS.values()),
    "/var/lib/../run/./secrets//gcp/etl-fd6d6038",
)


def _volume_sources(secret: str) -> list[dict[str, Any]]:
    return [
        {"emptyDir": {}},
        {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"secret": {"secretName": secret}},
        {
            "secret": {
                "secretName": secret,
                "defaultMode": 256,
                "optional": True,
                "items": [{"key": "k", "path": "p"}],
            }
        },
        {"configMap": {"name": "airflow-config", "defaultMode": 420}},
        {"persistentVolumeClaim": {"claimName": "logs", "readOnly": True}},
        {"hostPath": {"path": "/dev/shm", "type": "Directory"}},
        {"nfs": {"server": "nfs.acme.example", "path": "/exports"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {
            "projected": {
                "defaultMode": 288,
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": "vault",
                            "expirationSeconds": 7200,
                            "path": "token",
                        }
                    },
                    {
                        "configMap": {
                            "name": "kube-root-ca.crt",
                            "items": [{"key": "ca.crt", "path": "ca.crt"}],
                        }
                    },
                    {"secret": {"name": secret, "items": [{"key": "k", "path": "s"}]}},
                ],
            }
        },
        {"csi": {"driver": "csi.example", "nodePublishSecretRef": {"name": secret}}},
        {
            "csi": {
                "driver": "file.csi.azure.com",
                "volumeAttributes": {"secretName": secret, "shareName": "x"},
            }
        },
        {"azureFile": {"secretName": secret, "shareName": "x"}},
        {"flexVolume": {"driver": "acme/driver", "secretRef": {"name": secret}, "options": {"a": "b"}}},
        {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.x:y", "lun": 0}},
        {"rbd": {"monitors": ["10.0.0.1"], "image": "x", "secretRef": {"name": secret}}},
        {
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                }
            }
        },
    ]


def _variables(secret: str) -> list[dict[str, Any]]:
    return [
        {"name": "PLAIN", "value": "1"},
        {"name": "EMPTY"},
        {"name": "REFERS", "value": "$(GOOGLE_APPLICATION_CREDENTIALS)"},
        {"name": "FROM_FIELD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {
            "name": "FROM_RESOURCE",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}},
        },
        {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k", "optional": True}}},
        {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}},
        {"name": "GOOGLE_CLOUD_PROJECT", "value": "mine"},
        *({"name": name, "value": "/template.json"} for name in VARIABLES),
        *({"name": name, "value": f"{PATHS[ETL]}/key.json"} for name in VARIABLES),
        *({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}} for name in VARIABLES),
    ]


_CONTAINER_FIELDS: list[dict[str, Any]] = [
    {},
    {"args": ["airflow", "tasks", "run"], "command": ["/usr/bin/env"], "workingDir": "/opt"},
    {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}},
    {
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    },
    {
        "securityContext": {
            "runAsUser": 50000,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    },
    {"terminationMessagePolicy": "FallbackToLogsOnError", "stdin": True, "tty": True},
    {
        "envFrom": [
            {"configMapRef": {"name": "m"}},
            {"prefix": "S_", "secretRef": {"name": "airflow-fernet-key"}},
        ]
    },
    {"envFrom": [{"secretRef": {"name": VOLUMES[ADS]}}]},
]
_SIDECAR_FIELDS: list[dict[str, Any]] = [
    {},
    {"restartPolicy": "Always"},
    {"restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5}},
]
_POD_FIELDS: list[dict[str, Any]] = [
    {},
    {"securityContext": {"runAsUser": 50000, "fsGroup": 0, "supplementalGroups": [0, 1000]}},
    {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}},
    {"nodeSelector": {"pool": "tasks"}, "tolerations": [{"key": "tasks", "operator": "Exists"}]},
    {"automountServiceAccountToken": False, "imagePullSecrets": [{"name": "registry"}]},
    {"imagePullSecrets": [{"name": VOLUMES[ETL]}]},
    {"terminationGracePeriodSeconds": 0, "activeDeadlineSeconds": 60, "hostname": "task"},
    {
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"a": "b"}},
                        },
                    }
                ]
            }
        },
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["db"]}],
    },
]
_ANNOTATIONS = st.dictionaries(
    st.sampled_from(["dag_id", "prometheus.io/scrape", "airflow-sa-binding/applied", "team"]),
    st.text(max_size=20),
)
_MOUNT_FIELDS: list[dict[str, Any]] = [
    {},
    {"readOnly": True},
    {"subPath": "sub/path"},
    {"subPathExpr": "$(PLAIN)"},
    {"mountPropagation": "HostToContainer"},
]


# Made once, of fragments that are complete: a strategy that is built for each example costs more than its draw.
_VOLUMES = st.lists(
    st.tuples(
        st.sampled_from(_VOLUME_NAMES),
        st.sampled_from([source for secret in _SECRET_NAMES for source in _volume_sources(secret)]),
    ),
    unique_by=lambda volume: volume[0],
    max_size=6,
)
_ENV = st.lists(
    st.sampled_from([variable for secret in _SECRET_NAMES for variable in _variables(secret)]), max_size=4
)
_MOUNTS = st.lists(
    # Which volume is mounted is a number, as which volumes there are is not known here.
    st.sampled_from(list(itertools.product(_MOUNT_PATHS, range(4), _MOUNT_FIELDS))),
    unique_by=lambda mount: mount[0],
    max_size=4,
)
_CONTAINERS = st.tuples(st.sampled_from(_CONTAINER_FIELDS), _ENV, _MOUNTS)
_MAIN_CONTAINERS = st.lists(
    st.tuples(st.sampled_from(_MAIN), _CONTAINERS), unique_by=lambda one: one[0], min_size=1, max_size=3
)
_INIT_CONTAINERS = st.lists(
    st.tuples(st.sampled_from(_INIT), _CONTAINERS, st.sampled_from(_SIDECAR_FIELDS)),
    unique_by=lambda one: one[0],
    max_size=2,
)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the manifest of a pod as a template, hooks and Airflow could have made it."""
    volumes = [{"name": name, **source} for name, source in draw(_VOLUMES)]

    def container(name: str, drawn: tuple[dict[str, Any], list[Any], list[Any]]) -> dict[str, Any]:
        fields, env, mounts = drawn
        built = {"name": name, "image": "apache/airflow:3", **fields}
        if env:
            built["env"] = env
        if volumes:
            built["volumeMounts"] = [
                {"name": volumes[number % len(volumes)]["name"], "mountPath": path, **more}
                for path, number, more in mounts
            ]
        return built

    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        **draw(st.sampled_from(_POD_FIELDS)),
        "containers": [container(name, drawn) for name, drawn in draw(_MAIN_CONTAINERS)],
    }
    init_containers = [{**container(name, drawn), **more} for name, drawn, more in draw(_INIT_CONTAINERS)]
    if init_containers:
        spec["initContainers"] = init_containers
    if volumes:
        spec["volumes"] = volumes
    metadata: dict[str, Any] = {
        "name": "sales-load-x1y2z3",
        "labels": {"dag_id": "sales", "kubernetes_executor": "True"},
    }
    annotations = draw(_ANNOTATIONS)
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def container_names(manifest: dict[str, Any]) -> list[str]:
    """Return the names of all containers of a manifest."""
    spec = manifest["spec"]
    return [container["name"] for container in (*spec["containers"], *spec.get("initContainers", ()))]


# Not unique: one account may be asked for twice, for other containers each time.
_ACCOUNTS = st.lists(st.sampled_from([ETL, ADS, VAULT]), min_size=1, max_size=3)
# For each container the number of the account that it gets, or a number that is none.
_OWNERS = st.lists(st.integers(0, 3), min_size=5, max_size=5)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], Request]:
    """Draw a pod, and a request of one to three accounts for some or all of its containers."""
    manifest = draw(manifests())
    accounts, owners = draw(_ACCOUNTS), draw(_OWNERS)
    groups: dict[int, list[str]] = {}
    for name, owner in zip(container_names(manifest), owners, strict=False):
        groups.setdefault(owner, []).append(name)
    identities = tuple(
        IdentityRequest(name=account, containers=tuple(groups[number]), field="x")
        for number, account in enumerate(accounts)
        if number in groups
    )
    everywhere = IdentityRequest(name=accounts[0], containers=("*",), field="x")
    return manifest, Request(identities=identities or (everywhere,))


_CLIENT = client.ApiClient(client.Configuration())


def build_pod(manifest: dict[str, Any]) -> k8s.V1Pod:
    """Return a pod as the Kubernetes client reads it from a manifest."""
    return _CLIENT._ApiClient__deserialize_model(manifest, k8s.V1Pod)


def send(pod: k8s.V1Pod) -> dict[str, Any]:
    """Return a pod as the Kubernetes client sends it."""
    sent: dict[str, Any] = _CLIENT.sanitize_for_serialization(pod)
    return sent
