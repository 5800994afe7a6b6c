"""The specification of airflow-sa-binding, as tests."""
