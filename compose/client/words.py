"""What the contract says, in words."""


def enum(prefix, word):
    """A word as protobuf's JSON has it: `arterial` is PHASE_ARTERIAL."""
    return f"{prefix}_{word.upper()}"


def word(prefix, enum):
    """The other way."""
    return enum.removeprefix(f"{prefix}_").lower()


def progress_line(progress):
    """One line about a step."""
    words = [progress["step"] + ":", word("STEP_STATE", progress.get("state", ""))]
    if "tiles_total" in progress:
        words.append(f"{progress.get('tiles_done', 0)} of {progress['tiles_total']} tiles")
    elif "stage" in progress:
        words.append(word("STAGE", progress["stage"]))
    if "seconds_left" in progress:
        words.append(f"{progress['seconds_left']:.1f} s left")
    if place := progress.get("place"):
        words.append(f"(at {place['name']}, {place['address']})" if "name" in place else "(in process)")
    if "reason" in progress:
        words.append(f"({progress['reason']})")
    return " ".join(words)
