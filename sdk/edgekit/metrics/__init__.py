"""The task's own measures, each by a well-kept library where there is one."""
