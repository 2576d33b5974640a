"""The page at the root of the service: what it offers, with commands to try it."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Graft</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-weight: 600; }
pre { padding: 1rem; overflow-x: auto; border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: .5rem; }
dt { font-family: ui-monospace, monospace; margin-top: .75rem; }
</style>
<h1>Graft</h1>
<p>This service classifies images with an exported model.</p>
<pre>curl --data-binary @photo.jpg -H 'content-type: image/jpeg' http://127.0.0.1:8000/predict
curl -F images=@one.jpg -F images=@two.png 'http://127.0.0.1:8000/predict?top=3'</pre>
<dl>
<dt>POST /predict</dt><dd>one image as the body, or many as the files of a form; <code>top</code>: classes to name</dd>
<dt><a href="model">GET /model</a></dt><dd>classes and facts of the model</dd>
<dt><a href="health">GET /health</a>, <a href="ready">GET /ready</a></dt><dd>for whoever watches the service</dd>
<dt><a href="openapi.json">GET /openapi.json</a></dt><dd>the OpenAPI description of all this</dd>
</dl>
"""
