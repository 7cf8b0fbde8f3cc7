"""Spec → plan → tensor."""
