import 'uplot/dist/uPlot.min.css';
import './shared.css';
import './base.css';
import './sidebar.css';
import './launcher.css';
import './deployment.css';
import './cluster.css';
import './jobpage.css';
