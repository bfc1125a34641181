"""The front with less patience for bodies, so that a test need not wait for half a minute."""

from config import front

front.BODY_S = 0.5
application = front.application
