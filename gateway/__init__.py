"""The consent gateway: nothing about a shopper leaves a shop beyond what the shopper agreed to."""
