"""``reseen recipes``: the named descriptors."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb and its two sub-verbs."""
    verbs = typer.Typer(help="The named descriptors, with what each needs.")
    app.add_typer(verbs, name="recipes")

    @verbs.callback(invoke_without_command=True)
    def recipes(
        context: typer.Context,
        as_json: options.AsJson = False,
    ) -> None:
        """List the recipes."""
        if context.invoked_subcommand is not None:
            return
        from reseen.descriptor import list_recipes
        from reseen.descriptor.availability import describe

        found = [describe(name) for name in list_recipes()]
        if as_json:
            rows: list[schema.Recipe] = [
                {"name": e["name"], "dim": e["dim"], "needs": e["needs"], "available": e["available"]} for e in found
            ]
            report: schema.Recipes = {"recipes": rows}
            console.emit(report)
            return
        shown = [(e["name"], e["dim"], "yes" if e["available"] else "no", e["needs"], e["summary"]) for e in found]
        console.table(("recipe", "dim", "ready", "needs", "what it is"), shown)

    @verbs.command()
    def show(name: Annotated[str, typer.Argument(help="A recipe.")]) -> None:
        """Print a recipe: every number, with its source."""
        from reseen.descriptor.recipes import recipe_path

        typer.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)

    @verbs.command()
    def get(name: Annotated[str, typer.Argument(help="A recipe.")]) -> None:
        """Download the weights that a recipe needs from their hub."""
        from reseen.backbones import create_backbone
        from reseen.descriptor import read_recipe

        recipe = read_recipe(name)
        if recipe.backbone.weights != "hub":
            console.note(f"{name}: nothing to download")
            return
        create_backbone(recipe.backbone.name, recipe.backbone.layers, "hub", download=True)
        console.note(f"{name}: the weights are on this machine")
