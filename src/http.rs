//! One HTTP GET under one timeout: what the operator asks the agents, and the agent asks the AdminServer.
