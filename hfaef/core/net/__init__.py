"""What is sent to servers, and what comes from them."""
