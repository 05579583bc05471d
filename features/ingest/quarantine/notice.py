"""What a load says of the rows that it could not take."""

import typer


def point_to_refused(count: int) -> None:
    """Say after a load where its refused rows can be seen, should there be any."""
    if count:
        where = "smoke quarantine list shows each with its mend, smoke quality rules counts them by reason"
        typer.echo(f"{count:,} quarantined: {where}.")
