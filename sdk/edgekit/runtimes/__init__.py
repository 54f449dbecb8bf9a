"""The engines that run models, each behind the same small port, and the sessions that callers see."""
