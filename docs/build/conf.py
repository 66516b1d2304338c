"""What Sphinx is told. Nothing of the site is fetched from elsewhere, so that it works offline."""

project = "Rootstock"
html_title = project
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = [".trees"]
myst_heading_anchors = 4
html_theme = "furo"
html_static_path = ["style"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure", "toc.not_included"]
