"""The table that a model's summary is."""


def table(model):
    """A line for each layer, and one for each further initializer of its parameters; the total.

    Parameters
    ----------
    model : Sequential
        Initialized.

    Returns
    -------
    str
    """
    rows = [("layer", "output", "parameters", "initializer (std)")]
    for layer in model.all_layers():
        own = layer.own_parameters()
        made = [
            f"{name}: {initializer} ({std:.4g})"
            for name, (initializer, std) in layer.initializers().items()
        ] or [""]
        count = str(sum(p.size for p in own.values())) if own else ""
        shape = "x".join(map(str, layer.output_shape))
        rows.append((f"{layer.name} {layer.describe()}".rstrip(), shape, count, made[0]))
        rows += [("", "", "", line) for line in made[1:]]
    total = sum(p.size for p in model.parameters())
    rows.append(("total", "", str(total), ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    ]
    return "\n".join(lines)
