"""One module a group of pages, each with its `router`; `app` puts them together."""
