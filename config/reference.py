"""The reference page of the settings, made from their types: `python -m fleetpulse.config.reference` prints docs/settings.md."""

from inspect import cleandoc
from typing import Any

from pydantic import BaseModel

from fleetpulse.config.settings import Settings

HEAD = """# Settings

A deployment's settings stand in one TOML file, `config/fleet.toml` or the one that `FLEETPULSE_CONFIG` names. Every key has the
default given here; `FLEETPULSE_<SECTION>__<KEY>` in the environment overrides the file. Secrets need stand in neither:
`FLEETPULSE_SECRETS_DIR` names a folder with one file a setting, `<section>__<key>` (`mqtt__password`, `notify__webhook_secret`,
`kafka__options__sasl.password`), which overrides the file and is overridden by the environment. A wrong value ends a command with exit
code 2 and one line that names file, key, value (unless it may be secret) and range. Vehicle models stand in `config/models.toml`,
cities with their zones in `config/cities/*.geojson`. Units are in the names.

This page is made from `config/settings.py` by `python -m fleetpulse.config.reference`; a test compares.
"""


def _range(schema: dict[str, Any]) -> str:
    for part in (schema, *schema.get("anyOf", ())):
        if "enum" in part:
            return ", ".join(map(str, part["enum"]))
        if "pattern" in part:
            return f"`{part['pattern']}`"
        signs = (("minimum", ">= "), ("exclusiveMinimum", "> "), ("maximum", "<= "), ("exclusiveMaximum", "< "))
        bounds = [f"{sign}{part[key]:g}" for key, sign in signs if key in part]
        if bounds:
            return ", ".join(bounds)
    return ""


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    return "none" if value in (None, [], {}) else f"`{value}`"


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        parts.append(f"\n## {name}\n\n{cleandoc(section.__doc__ or '')}\n\n| key | default | range |\n|---|---|---|\n")
        for key, schema in section.model_json_schema()["properties"].items():
            parts.append(f"| `{key}` | {_default(schema)} | {_range(schema)} |\n")
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
