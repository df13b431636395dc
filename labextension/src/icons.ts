import { LabIcon } from '@jupyterlab/ui-components';

/** A pod, as a box: what stands for cpod on tabs and in the sidebar. */
export const cpodIcon = new LabIcon({
  name: 'cpod-jupyter:cpod',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M12 1.6 3 6.8v10.4l9 5.2 9-5.2V6.8zm0 2.3 6 3.5-6 3.4-6-3.4zM5 9.1l6 3.5v6.9l-6-3.5zm8 10.4v-6.9l6-3.5V16z"/>
</svg>`
});

/** The icons of what the form makes, on the launcher's cards and in menus. */
export const fineTuneIcon = icon(
  'finetune',
  'M4 5h7v2H4zm11 0h5v2h-5zm-3-2h2v6h-2zM4 11h3v2H4zm7 0h9v2h-9zM8 9h2v6H8zM4 17h9v2H4zm13 0h3v2h-3zm-3-2h2v6h-2z'
);
export const jobIcon = icon(
  'job',
  'M3 4h18v16H3zm2 2v12h14V6zm2.7 2.3L11.4 12l-3.7 3.7-1.4-1.4L8.6 12 6.3 9.7zM12 14h5v2h-5z'
);
export const deploymentIcon = icon(
  'deployment',
  'M4 3h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1h-8l-5 4v-4H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zm1 2v10h4v1.8l2.3-1.8H19V5zm2 3h10v1.8H7zm0 3.2h7V13H7z'
);

function icon(name: string, path: string): LabIcon {
  return new LabIcon({
    name: `cpod-jupyter:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" d="${path}"/>
</svg>`
  });
}
