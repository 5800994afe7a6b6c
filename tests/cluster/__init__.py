"""A real Kubernetes for the tests: a control plane for any user, and a node that runs pods for root.

Everything is built from source once and cached (`build`), listens on 127.0.0.1 only, lives in a folder of
its own (`runs`), and dies with the process that started it. Tests use the fixtures in `fixtures`;
people use `python -m tests.cluster --help`.
"""
