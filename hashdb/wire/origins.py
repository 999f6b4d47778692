"""The model of an origin; the models of contributions and of matches have one."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field, StringConstraints

from hashdb.domain.origins import LONGEST_LOG, Origin
from hashdb.wire import LARGEST_ID, ResponseModel
from hashdb.wire.conversions import Mirror

_Number = Annotated[int, Ge(0), Le(LARGEST_ID)]


class OriginOut(ResponseModel, Mirror[Origin]):
    """Where a contribution was first contributed, as the service says from which it came. Nothing proves it."""

    log: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_LOG, pattern=r"^[\x21-\x7e]+$")] = Field(
        description="The name of the log there and the hash of its first key: `name+hash`."
    )
    contribution: _Number = Field(description="The id of the contribution there.")
    member: _Number = Field(description="The id of its member there.")
