import { LabIcon } from '@jupyterlab/ui-components';

/** A pod, as a box: what stands for cpod on tabs and in the sidebar. */
export const cpodIcon = new LabIcon({
  name: 'cpod-jupyter:cpod',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M12 1.6 3 6.8v10.4l9 5.2 9-5.2V6.8zm0 2.3 6 3.5-6 3.4-6-3.4zM5 9.1l6 3.5v6.9l-6-3.5zm8 10.4v-6.9l6-3.5V16z"/>
</svg>`
});
