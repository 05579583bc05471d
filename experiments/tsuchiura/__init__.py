"""The Tsuchiura construction auctions: the shipped sample."""
