"""The pure core: what a task asked for, which identity that is, and the pod that results.

Modules here know Kubernetes' pod model and nothing else: no Airflow, no files, no network, no clock.
"""
