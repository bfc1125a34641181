"""Carries e-mails and SMS: the back ends that block, and the threads that keep them from blocking anybody else."""
