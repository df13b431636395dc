import { NotebookActions, NotebookPanel } from '@jupyterlab/notebook';

/** The text of the active cell of a notebook when that is a `%%cpod` cell, else null. */
export function cpodCell(panel: NotebookPanel | null): string | null {
  const cell = panel?.content.activeCell;
  const text = cell?.model.type === 'code' ? cell.model.sharedModel.getSource() : '';
  return text.trimStart().startsWith('%%cpod') ? text : null;
}

/** What puts a text into the cell that is active now, wherever that is by then; raises where it is gone. */
export function intoActive(panel: NotebookPanel, gone: string): (text: string) => void {
  const model = panel.content.activeCell?.model;
  return text => {
    const index = panel.isDisposed ? -1 : panel.content.widgets.findIndex(cell => cell.model === model);
    if (index < 0) {
      throw new Error(gone);
    }
    panel.content.activeCellIndex = index;
    model!.sharedModel.setSource(text);
  };
}

/** Put a cell with a text below the active one, and go there. */
export function insertBelowActive(panel: NotebookPanel, text: string): void {
  NotebookActions.insertBelow(panel.content);
  panel.content.activeCell?.model.sharedModel.setSource(text);
}
