"""Which of the policy's choices can be taken now: pictures that are still to be decoded need a thread for that."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.streams.policy import Choice, Decision


def takable(decision: Decision, decodable: int, *, only_encoded: bool = False) -> list[Choice]:
    """The choices that can be taken: at most ``decodable`` of those to be decoded, one of each camera, and all others unless
    ``only_encoded``. Each camera's first ones, without a gap."""
    found: list[Choice] = []
    encodes: set[str] = set()
    left: set[str] = set()
    for choice in decision.batch:
        camera = choice.camera
        is_encoded = choice.captured.must_be_decoded
        is_decodable = len(encodes) < decodable and camera not in encodes
        takes = is_decodable if is_encoded else not only_encoded
        if not takes or camera in left:
            left.add(camera)
            continue
        found.append(choice)
        if is_encoded:
            encodes.add(camera)
    return found


def given_up(decision: Decision, chosen: Sequence[Choice]) -> tuple[Choice, ...]:
    """What a decision gives up if only the ``chosen`` ones of its batch are taken: not those that only had to go before others that stay."""
    last = {choice.camera: choice.captured.sequence for choice in chosen}
    left = {choice.camera for choice in decision.batch if choice not in chosen}
    return tuple(
        one for one in decision.expired if one.camera not in left or one.captured.sequence < last.get(one.camera, -1)
    )
