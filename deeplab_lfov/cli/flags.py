"""Flags made of the fields of settings classes, whose help stands there (`training.parts`, say)."""

import argparse
from collections.abc import Mapping
from dataclasses import Field, fields

from deeplab_lfov.cli.command import Parser
from deeplab_lfov.crf.dense_crf import DenseCRF, flag_of
from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.settings import PredictionSettings


def add_flags(group: argparse._ActionsContainer, settings: type) -> None:
    """Add the flags of the settings that a class itself has, its bases apart."""
    for field in fields(settings):
        if field.name in settings.__annotations__:
            add_setting(group, field)


def add_setting(group: argparse._ActionsContainer, field: Field, name: str | None = None) -> None:
    """Add the flag of a setting under its own or another name; some settings have no help: none."""
    if not field.metadata.get("help"):
        return
    kind, flag = field.metadata["kind"], dict(field.metadata["flag"])
    if not kind.parse:
        flag["action"] = argparse.BooleanOptionalAction
    elif kind.choices:
        flag["choices"] = kind.choices
    else:
        flag["type"] = kind
    names = f"--{name or field.name}", *field.metadata["names"]
    group.add_argument(*names, help=field.metadata["help"], **flag)


def add_prediction_flags(parser: Parser) -> None:
    """Add what decides how pictures are segmented: views, sizes, precision and the CRF."""
    group = parser.add_argument_group("prediction")
    add_flags(group, PredictionSettings)
    parser.defaults["crf"] = False
    for field in fields(DenseCRF):
        flag = flag_of(field.name)
        add_setting(group, field, flag)
        parser.defaults[flag] = field.default


def prediction_settings(given: Mapping[str, object], crf: bool = False) -> dict[str, object]:
    """Return the flags, with those of the CRF replaced by `crf`, a DenseCRF or None.

    crf: turn it on whatever the flag says. Raises UserError for a parameter of the CRF without it.
    """
    rest = dict(given)
    names = {flag_of(field.name): field.name for field in fields(DenseCRF)}
    parameters = {name: rest.pop(flag) for flag, name in names.items() if flag in rest}
    if rest.pop("crf", False) or crf:
        return rest | {"crf": DenseCRF(**parameters)}
    if parameters:
        first = flag_of(next(iter(parameters)))
        raise UserError(f"--{first} is a parameter of the CRF; add --crf to use it")
    return rest
