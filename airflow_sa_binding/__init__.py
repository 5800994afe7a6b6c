"""Give every Airflow task pod exactly the cloud identity that its task asks for, and no other.

Importing this package imports neither Airflow nor the Kubernetes client; the modules that Airflow calls
(`executor`, `hook`, `policy`, `provider_info`) do so where they need it.
"""

__version__ = "0.1.0"
