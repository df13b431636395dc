import './base.css';
import './launcher.css';
import './deployment.css';
