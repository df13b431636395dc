import './base.css';
import './sidebar.css';
import './launcher.css';
import './deployment.css';
