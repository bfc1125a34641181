"""Every way in which events, deliveries and lanes change. Views, tasks, commands and admin call nothing else."""

from deliveries.services.publish import Accepted, NewEvent, publish, publish_batch

__all__ = ["Accepted", "NewEvent", "publish", "publish_batch"]
