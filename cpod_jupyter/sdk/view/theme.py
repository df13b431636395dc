"""The look that all HTML of ours shares: JupyterLab's own variables, with fallbacks that read well
on light and on dark pages without them, as in a notebook exported to HTML."""

from __future__ import annotations

from html import escape

from cpod_jupyter.sdk.states import State

STYLE = """<style>
.cpod{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,inherit);
 max-width:720px;margin:2px 0}
.cpod-card{border:1px solid var(--jp-border-color2,rgba(128,128,128,.35));border-radius:6px;padding:10px 14px}
.cpod-head{display:flex;align-items:baseline;gap:8px;flex-wrap:wrap}
.cpod-kind,.cpod-dim{color:var(--jp-ui-font-color2,inherit);opacity:.85}
.cpod-name{font-weight:600;font-size:14px}
.cpod-end{margin-left:auto;font-variant-numeric:tabular-nums}
.cpod-pill{display:inline-block;border-radius:9px;padding:0 8px;font-size:12px;font-weight:600;
 color:var(--cpod-tone);background:color-mix(in srgb,var(--cpod-tone) 14%,transparent)}
.cpod-good{--cpod-tone:var(--jp-success-color1,#2e8b57)}
.cpod-bad{--cpod-tone:var(--jp-error-color1,#d9363e)}
.cpod-busy{--cpod-tone:var(--jp-brand-color1,#2b7de0)}
.cpod-wait{--cpod-tone:var(--jp-warn-color1,#c77700)}
.cpod-bar{height:6px;border-radius:3px;margin:8px 0 4px;overflow:hidden;
 background:var(--jp-layout-color3,rgba(128,128,128,.25))}
.cpod-bar>i{display:block;height:100%;border-radius:3px;background:var(--cpod-tone)}
.cpod-row{display:flex;gap:14px;flex-wrap:wrap;font-variant-numeric:tabular-nums}
.cpod-pods{gap:4px 14px;margin-top:4px}
.cpod ul.cpod-events{margin:4px 0 0;padding-left:18px;overflow-wrap:anywhere}
.cpod-reason{margin:6px 0 0;overflow-wrap:anywhere}
.cpod-why{border-left:3px solid var(--cpod-tone);padding-left:10px;margin:8px 0 2px;white-space:pre-wrap;
 overflow-wrap:anywhere}
.cpod pre.cpod-log{font:12px/1.45 var(--jp-code-font-family,ui-monospace,monospace);margin:6px 0 0;padding:8px;
 max-height:240px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;border-radius:4px;color:inherit;
 background:var(--jp-layout-color2,rgba(128,128,128,.1))}
.cpod details{margin-top:6px}.cpod summary{cursor:pointer}
.cpod .cpod-curve{display:block;width:100%;height:auto;margin-top:8px}
.cpod table.cpod-table{border-collapse:collapse;margin:0;font-size:13px;color:inherit}
.cpod table.cpod-table th{text-align:left;font-weight:600;color:var(--jp-ui-font-color2,inherit)}
.cpod table.cpod-table th,.cpod table.cpod-table td{text-align:left;padding:3px 14px 3px 0;vertical-align:top;
 white-space:nowrap;border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.3));background:none}
.cpod table.cpod-table td.cpod-wide{white-space:normal;overflow-wrap:anywhere}
</style>"""

_TONES = {
    State.PENDING: "wait",
    State.PREPARING: "busy",
    State.RUNNING: "busy",
    State.READY: "good",
    State.SUCCEEDED: "good",
    State.FAILED: "bad",
    State.DELETED: "wait",
}
_GOOD_WORDS = {"done", "ready", "succeeded", "active", "bound"}
_BAD_WORDS = {"fail", "failed", "error", "crashloopbackoff", "imagepullbackoff", "errimagepull", "oomkilled"}
_WAIT_WORDS = {"pending", "created", "suspended", "deleting", "terminating"}


def tone(state: State) -> str:
    return _TONES[state]


def tone_of_word(word: str) -> str:
    """The tone of a kind's own word for its phase."""
    lowered = word.lower()
    if lowered in _GOOD_WORDS:
        return "good"
    if lowered in _BAD_WORDS:
        return "bad"
    return "wait" if lowered in _WAIT_WORDS else "busy"


def block(inner: str, classes: str = "") -> str:
    """A themed block of ours, complete with its style."""
    return f'{STYLE}<div class="cpod {classes}">{inner}</div>'


def pill(word: str, tone_name: str) -> str:
    return f'<span class="cpod-pill cpod-{tone_name}">{escape(word)}</span>'
