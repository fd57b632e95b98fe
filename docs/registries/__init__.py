"""The reference pages that are made from the registries: a module a subject, ``PAGES`` in each."""
