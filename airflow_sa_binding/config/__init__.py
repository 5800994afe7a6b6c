"""What the platform engineer configured: airflow.cfg, the bindings file and key files, read and checked.

Everything here reads the outside and hands on frozen values of the pure core; nothing talks to a cluster.
Only `options` knows Airflow's configuration object.
"""
