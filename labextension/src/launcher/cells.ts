import { NotebookActions, NotebookPanel } from '@jupyterlab/notebook';

/** The text of the active cell of a notebook when that is a `%%cpod` cell, else null. */
export function cpodCell(panel: NotebookPanel | null): string | null {
  const cell = panel?.content.activeCell;
  const text = cell?.model.type === 'code' ? cell.model.sharedModel.getSource() : '';
  return text.trimStart().startsWith('%%cpod') ? text : null;
}

/** Put a cell with a text below the active one, and go there. */
export function insertBelowActive(panel: NotebookPanel, text: string): void {
  NotebookActions.insertBelow(panel.content);
  panel.content.activeCell?.model.sharedModel.setSource(text);
}
