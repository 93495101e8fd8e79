// Starts the page.
import { mount } from 'svelte';
import './ui/tokens.css';
import './ui/elements.css';
import App from './App.svelte';
import { session } from './api/session.svelte.ts';
import { now } from './state/now.svelte.ts';
import { route } from './state/route.svelte.ts';
import { appearance } from './state/theme.svelte.ts';

appearance.start();
route.start();
now.start();
void session.restore();

const target = document.getElementById('page');
if (target) mount(App, { target });
