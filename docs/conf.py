"""How Sphinx builds this documentation: `sphinx-build -W -n -b html docs docs/_build/html`, without a network."""

from airflow_sa_binding import __version__

project = "airflow-sa-binding"
version = release = __version__
html_title = f"airflow-sa-binding {release}"
html_theme = "furo"
html_static_path = ["_static"]
html_copy_source = False
html_show_copyright = False
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
