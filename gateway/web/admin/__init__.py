"""The admin pages: what was agreed, what left, and why."""

from gateway.web.admin.register import register_admin

__all__ = ["register_admin"]
