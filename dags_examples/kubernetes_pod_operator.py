"""A pod that an operator builds, not the executor: it asks for its account with an annotation.

`executor_config` would give the account to the pod of the task, which only starts the other pod and waits for it.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.common.compat.sdk import DAG
from kubernetes.client import models as k8s

ETL = "etl@acme.iam.gserviceaccount.com"

PRINT_ACCOUNT = f"""
import google.auth
credentials, _ = google.auth.default()
print("this pod is", credentials.service_account_email)
if credentials.service_account_email != "{ETL}":
    raise SystemExit("not {ETL}")
"""

# The task talks to Kubernetes, so its own pod needs the token that the template leaves out. The service account
# behind that token must be allowed to create pods and to read their logs.
WITH_KUBERNETES_TOKEN = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[], automount_service_account_token=True))

with DAG(
    "kubernetes_pod_operator",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
):
    KubernetesPodOperator(
        task_id="load",
        name="load",
        annotations={"iam.cloud.google.com/service-account": ETL},
        pod_template_file=str(Path(__file__).with_name("pod_template.yaml")),
        executor_config={"pod_override": WITH_KUBERNETES_TOKEN},
        cmds=["python", "-c", PRINT_ACCOUNT],
    )
