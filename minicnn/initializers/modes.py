"""The modes of variance scaling: which number of a layer's fans stands for the fan."""

MODES = {
    "fan_in": lambda fans: fans.fan_in,
    "fan_out": lambda fans: fans.fan_out,
    "fan_avg": lambda fans: (fans.fan_in + fans.fan_out) / 2,
    "exact": lambda fans: fans.fan_in if fans.taps is None else fans.taps,
    "effective_fan_out": lambda fans: (
        fans.fan_out if fans.effective_fan_out is None else fans.effective_fan_out
    ),
}
