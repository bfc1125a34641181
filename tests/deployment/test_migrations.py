"""During an upgrade the old code runs on the new schema, so a migration takes nothing away from it."""

import pytest
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration

APPS = ("config", "deliveries", "subscriptions")
CONTRACTIONS = {
    # Before the first release: nobody ran the code that wrote it.
    ("deliveries", "0007_lane_waits"),
    ("deliveries", "0008_lane_not_before"),
    ("subscriptions", "0002_formats_rules_and_modes"),
}
# Migrations that may take away what the release before stopped using. Each says since when nobody does.

TAKES_AWAY = (
    operations.RemoveField,
    operations.RenameField,
    operations.DeleteModel,
    operations.RenameModel,
    operations.AlterModelTable,
)

MIGRATIONS = [
    pytest.param(migration, id=f"{app}.{name}")
    for (app, name), migration in sorted((MigrationLoader(None).disk_migrations or {}).items())
    if app in APPS
]


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_code_of_the_release_before_can_go_on(migration: Migration) -> None:
    """It neither misses a column or table, nor leaves one empty that has to have a value.

    What breaks this belongs into two releases: the first stops using it, the second takes it away and stands in
    CONTRACTIONS. A new column that must not be null has a `db_default`.
    """
    new_tables = {op.name_lower for op in migration.operations if isinstance(op, operations.CreateModel)}
    harmful = [op.describe() for op in migration.operations if _is_harmful(op, new_tables)]
    is_contraction = (migration.app_label, migration.name) in CONTRACTIONS
    assert bool(harmful) == is_contraction, harmful


def _is_harmful(operation: operations.base.Operation, new_tables: set[str]) -> bool:
    if isinstance(operation, TAKES_AWAY):
        return True
    if not isinstance(operation, operations.AddField) or operation.model_name_lower in new_tables:
        return False
    field = operation.field
    return not (field.null or field.has_db_default() or field.many_to_many)
