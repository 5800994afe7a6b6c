"""A whole Airflow on a real Kubernetes: what its users and its operators see."""
