"""Every advisory lock that this platform takes in Postgres: all of them share one space of numbers."""

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """Any numbers will do. None ever changes: while an installation is being upgraded, both versions must meet."""

    MIGRATE = 7_366_946
    # Installations start several processes at once, and each brings the schema up.

    TREE = 7_415_001
    # Who stands above whom does not change meanwhile. Changes of it are rare, so one lock for all is enough.
    PROVIDER_KEYS = 7_415_002
    # Rotating a key, or changing one of the provider's own profiles, and giving an endpoint a profile that needs it.

    OWED_PLACES = 7_415_102
    # Two replays may owe one event to two endpoints at once, and both would take the same place for it.
    REPLAYS = 7_242_016_352
    # Ticks that come while one takes the replays further have nothing to do.
    OPERATIONS, EXPUNGES, EXPORTS = 7_242_016_353, 7_242_016_354, 7_242_016_355
    # The same for what is told of the platform itself, for contents that are taken away, and for logs that are
    # written into files.
    RETENTION = 7_242_016_357
    # One run at a time; another would only look through the same events.
    PARTITIONS = 7_242_016_358
    # One change of the ledger's partitions at a time: two would make the same day.
    RECOUNT = 7_242_016_351
    # Two that repair the same difference would add it twice.

    DEMO = 7_415_101
    # Two demos would each point the same endpoints at their own receiver.
