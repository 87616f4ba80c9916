"""The kinds of networks: what each can be told, and what builds it. Imports no Keras before a network is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from splitstrument.errors import SettingsError
from splitstrument.network.kinds import BandUnetSettings, HourglassSettings, NetworkSettings, OwnNetworkSettings
from splitstrument.registry import Registry, loaded
from splitstrument.spectrogram import Float
from splitstrument.user_code import UserCode, is_reference

if TYPE_CHECKING:
    import keras

InputShape = tuple[int, int, int]


@dataclass(frozen=True)
class NetworkKind:
    """A member of `NETWORKS`.

    Attributes
    ----------
    settings
        What a recipe and ``model.yaml`` may say under ``network``; its `kind` is the name in the registry.
    build
        Makes the network from (settings, input_shape, seed), with initial weights drawn from the seed; or
        ``module:function``, so that Keras is not imported with the settings.
    """

    settings: type[NetworkSettings]
    build: str | Callable[[Any, InputShape, int], keras.Model]

    @property
    def builder(self) -> Callable[[Any, InputShape, int], keras.Model]:
        """The function of `build`."""
        return loaded(self.build) if isinstance(self.build, str) else self.build


NETWORKS: Registry[NetworkKind] = Registry(
    "network",
    "splitstrument.networks",
    {
        "hourglass": NetworkKind(HourglassSettings, "splitstrument.network.hourglass:build_hourglass"),
        "bandunet": NetworkKind(BandUnetSettings, "splitstrument.network.bandunet:build_bandunet"),
    },
    lambda member: isinstance(member, NetworkKind),
    "a NetworkKind",
)


class Described(Protocol):
    """The part of `splitstrument.network.settings.ModelSettings` that a network is built from."""

    @property
    def network(self) -> NetworkSettings:
        """Settings of the network."""

    @property
    def input_shape(self) -> InputShape:
        """(n_bins, n_frames, n_views)."""


def network_settings(data: Any) -> Any:
    """Validate what is under ``network`` by the settings class of its kind."""
    if not isinstance(data, dict):
        return data
    kind = data.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f"the key 'kind' is missing: choose one of {', '.join(NETWORKS)}")
    if is_reference(kind):
        return OwnNetworkSettings.model_validate(data)
    try:
        return NETWORKS.get(kind).settings.model_validate(data)
    except SettingsError as error:
        raise ValueError(str(error).removesuffix(".")) from None


def build_network(model: Described, seed: int = 0, code: UserCode | None = None) -> keras.Model:
    """Build the network that `model` describes, with initial weights drawn from `seed`.

    Returns a model that maps (batch, *model.input_shape) to masks (batch, n_bins, n_frames, outputs), or to a list of
    them (one per hourglass module, the best one last).

    Parameters
    ----------
    code
        Where the user's own functions are; None knows none that are allowed.

    Raises
    ------
    SettingsError, ModelError
        If it is of a plug-in that is not installed or broken, or of code that cannot be loaded or is not allowed; or
        if it gives masks of another shape.
    """
    kind = model.network.kind
    build = (code or UserCode()).load(kind) if is_reference(kind) else NETWORKS.get(kind).builder
    network = build(model.network, model.input_shape, seed)
    expected = (None, *model.input_shape[:2], model.network.outputs)
    found = getattr(network, "output_shape", None)
    if (found[-1] if isinstance(found, list) else found) != expected:
        raise SettingsError(
            f"The network {kind!r} gives masks of shape {found} instead of {expected}: mend its builder."
        )
    return network


def predict_masks(network: keras.Model, magnitudes: Float) -> Float:
    """Return the masks (batch, n_bins, n_frames, outputs) of one batch; of several hourglass modules the last one's."""
    masks = network.predict_on_batch(magnitudes)
    return np.asarray(masks[-1] if isinstance(masks, list) else masks)
