"""Talks to the Kubernetes API server: keeps the managed Secrets what the configuration says they should be."""
