"""Networks of your own: `backbone.name: backbones.MODULE:FUNCTION`. DVC tracks this folder for the stage `backbone`."""
