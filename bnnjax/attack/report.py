"""What the command line prints about an attack."""

from bnnjax.attack.result import AttackResult

_FEW = 8  # pictures, whose guesses are printed one by one


def table(result: AttackResult) -> list[list[str]]:
    """A heading, then a row per radius, or per picture and radius if there are only a few."""
    if len(result.inputs.names) <= _FEW:
        return _pictures(result)
    rows = [["epsilon, 1/255", "top-1, %", "success, %", "mean L2, 1/255", "mean SSIM"]]
    rows.append(["clean", f"{result.clean_top1:.1f}", "", "", ""])
    figures = result.figures
    for epsilon, top1 in figures["adversarial_top1"].items():
        mean = figures["mean_distances"][epsilon]
        success = figures["success_rate"][epsilon]
        rows.append(
            [epsilon, f"{top1:.1f}", f"{success:.1f}", f"{mean['l2']:.0f}", f"{mean['ssim']:.4f}"]
        )
    return rows


def checks_table(result: AttackResult) -> list[list[str]]:
    """A heading, then a row for each check; nothing without checks."""
    if not result.checks:
        return []
    rows = [["check", "what must hold", "found, %", "at most, %", ""]]
    for check in result.checks:
        verdict = "holds" if check.passed else "FAILS"
        rows.append([check.name, check.claim, f"{check.found:.1f}", f"{check.bound:.1f}", verdict])
    return rows


def _pictures(result: AttackResult) -> list[list[str]]:
    rows = [["picture", "epsilon", "before", "after", "Linf", "L2", "SSIM"]]
    for number, name in enumerate(result.inputs.names):
        for row, epsilon in enumerate(result.epsilons):
            moved = result.distances[row][number]
            before, after = result.guesses(number), result.guesses(number, row)
            rows.append(
                [name, f"{epsilon:g}", _guess(before), _guess(after),
                 f"{moved.linf:.0f}", f"{moved.l2:.0f}", f"{moved.ssim:.4f}"]
            )  # fmt: skip
    return rows


def _guess(guesses: list[tuple[str, float]]) -> str:
    name, chance = guesses[0]
    return f"{name} {100 * chance:.0f} %"
