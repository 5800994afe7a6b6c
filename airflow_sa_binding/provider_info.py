"""What Airflow's provider manager is told about this package.

Airflow imports this module with every command, so it imports nothing itself.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the description of this provider, in the form of Airflow's `provider_info.schema.json`.

    `[kubernetes_executor]` belongs to the Kubernetes provider: Airflow 2.11 and 3.1 do not start when a second
    provider declares a section, so `gcp_service_accounts` is declared in `[kubernetes]` alone.
    """
    return {
        "package-name": "airflow-sa-binding",
        "name": "Service account binding",
        "description": "Gives every task pod exactly the cloud identity that its task asks for, and no other.",
        # Read from Airflow 3.2 on; before, the executor brings the commands.
        "cli": ["airflow_sa_binding.cli.airflow_commands.get_sa_binding_cli_commands"],
        "config": {
            "kubernetes": {
                "description": "Google service accounts for the pods of the ``KubernetesExecutor``.\n",
                "options": {
                    "gcp_service_accounts": _option(
                        "The Google service accounts that tasks may ask for, as ``name=path`` pairs: the account's\n"
                        "email address and its key file, an absolute path in the scheduler. Pairs are separated by\n"
                        "commas or line breaks. Paths with ``=``, ``,`` or spaces go into the bindings file.\n",
                        example="etl@acme.iam.gserviceaccount.com=/opt/airflow/sa/etl.json,"
                        "ads@acme.iam.gserviceaccount.com=/opt/airflow/sa/ads.json",
                    ),
                },
            },
            "sa_binding": {
                "description": "How task pods get the identities that their tasks ask for.\n",
                "options": {
                    "bindings_file": _option(
                        "An absolute path to a YAML file that lists further accounts, with more to say about each\n"
                        "than fits a line. It holds no secret.\n",
                        example="/opt/airflow/config/sa_bindings.yaml",
                    ),
                    "sync_interval_seconds": _option(
                        "Seconds from one comparison of the key files with the managed Secrets to the next,\n"
                        "from 1 to 86400. A key that is rotated on disk reaches the cluster within that time.\n",
                        type_="integer",
                        default="60",
                    ),
                    "prune": _option(
                        "Whether the managed Secrets of accounts that are no longer listed are deleted.\n",
                        type_="boolean",
                        default="False",
                    ),
                    "namespaces": _option(
                        "Further namespaces, separated by commas, in which pods with an identity run, such as those\n"
                        "of ``KubernetesPodOperator``. The namespaces of ``[kubernetes_executor]`` need no mention.\n",
                        example="data-science,reporting",
                    ),
                },
            },
        },
    }


def _option(
    description: str, *, type_: str = "string", default: str = "", example: str | None = None
) -> dict[str, Any]:
    # Airflow takes defaults as text, whatever the type.
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": type_,
        "example": example,
        "default": default,
        "sensitive": False,
    }
