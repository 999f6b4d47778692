"""/v1/signals"""

from __future__ import annotations

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.web import media
from hashdb.web.context import answer
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.contributions import MediaIn, PictureOut, PicturesOut

blueprint = ApiBlueprint("signals", __name__, url_prefix="/v1/signals", tag="Hash")


@blueprint.post("")
@operation({200: PicturesOut}, scopes=[Scope.CONTRIBUTE, Scope.MATCH], form=MediaIn)
def hash_media() -> Response:
    """Hash pictures, in memory, and forget them."""
    hashed = media.hash_pictures(media.read_form(metadata=False).files)
    pictures = [PictureOut.model_construct(signals=list(one.signals), quality=one.quality) for one in hashed]
    return answer(PicturesOut.model_construct(pictures=pictures))
